// Type-aware: the most expensive mistake in browser tests is a promise that is not awaited.
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
      // A destructured field may be unused: it is left out of the rest.
      "@typescript-eslint/no-unused-vars": ["error", { ignoreRestSiblings: true }],
      // Functions of tests/support and of the specs that assert.
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
      // Sleeping, skipped and focused tests must not be committed.
      "playwright/no-wait-for-timeout": "error",
      "playwright/no-skipped-test": "error",
      "playwright/no-focused-test": "error",
    },
  },
);
