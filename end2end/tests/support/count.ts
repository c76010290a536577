/** The last line of a run: how many tests passed and how many did not. */
import type { Reporter, TestCase, TestResult } from "@playwright/test/reporter";

export default class Count implements Reporter {
  private passed = 0;
  private failed = 0;

  onTestEnd(test: TestCase, result: TestResult): void {
    if (result.status === test.expectedStatus) this.passed += 1;
    else this.failed += 1;
  }

  onExit(): Promise<void> {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return Promise.resolve();
  }

  printsToStdio(): boolean {
    return false;
  }
}
