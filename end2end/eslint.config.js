// Type-aware, because the mistake that costs most in browser tests is a promise nobody awaited.
import eslint from "@eslint/js";
import { defineConfig } from "eslint/config";
import playwright from "eslint-plugin-playwright";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["node_modules/", "test-results/", "playwright-report/", "blob-report/", ".auth/", ".data/"] },
  {
    files: ["**/*.ts"],
    extends: [
      eslint.configs.recommended,
      tseslint.configs.recommendedTypeChecked,
      playwright.configs["flat/recommended"],
    ],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      // Taking a field out of an object is a way to leave it out of the rest.
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      // Functions of tests/support and of the tests' own files that expect something.
      "playwright/expect-expect": [
        "error",
        {
          assertFunctionNames: [
            "expectConnected",
            "expectAccessible",
            "expectAudioAndVideo",
            "expectSameTexts",
            "expectAccessiblePages",
            "expectRecovery",
          ],
        },
      ],
      // A test that sleeps, is skipped or is the only one left must not land.
      "playwright/no-wait-for-timeout": "error",
      "playwright/no-skipped-test": "error",
      "playwright/no-focused-test": "error",
    },
  },
);
