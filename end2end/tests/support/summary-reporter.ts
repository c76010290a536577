/** Prints the last lines of a run: flaky and skipped tests, and the numbers of passed and failed ones. */
import type { FullConfig, Reporter, Suite, TestCase } from "@playwright/test/reporter";

export default class SummaryReporter implements Reporter {
  private tests: TestCase[] = [];

  onBegin(_config: FullConfig, suite: Suite): void {
    this.tests = suite.allTests();
  }

  onExit(): Promise<void> {
    const ended = (outcome: ReturnType<TestCase["outcome"]>) =>
      this.tests.filter((test) => test.results.length > 0 && test.outcome() === outcome);
    const flaky = ended("flaky");
    for (const test of flaky) {
      console.log(`passed only on retry: ${test.titlePath().filter(Boolean).join(" › ")}`);
    }
    for (const test of this.tests.filter((test) => test.outcome() === "skipped")) {
      const why = test.annotations.find(({ type, description }) => type === "skip" && description !== undefined);
      console.log(`skipped: ${test.titlePath().filter(Boolean).join(" › ")}: ${why?.description ?? "no reason given"}`);
    }
    const passed = ended("expected").length + flaky.length;
    const failed = ended("unexpected").length;
    // A run that selects no test has nothing to sum up.
    if (this.tests.length > 0) console.log(`${passed} passed, ${failed} failed`);
    if (flaky.length > 0) console.log(`not green: ${flaky.length} passed only on retry, see above`);
    return Promise.resolve();
  }

  printsToStdio(): boolean {
    return false;
  }
}
