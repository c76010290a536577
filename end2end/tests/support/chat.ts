/** The chat as a person uses it. */
import { type Locator, type Page, expect } from "@playwright/test";

export class Chat {
  readonly rooms: Locator;
  readonly timeline: Locator;
  readonly messages: Locator;
  readonly box: Locator;

  constructor(private readonly page: Page) {
    this.rooms = page.getByRole("navigation", { name: "Rooms and people" });
    this.timeline = page.getByRole("log");
    this.messages = this.timeline.getByRole("article");
    this.box = page.getByRole("textbox", { name: /^Message to / });
  }

  message(text: string | RegExp): Locator {
    return this.messages.filter({ hasText: text });
  }

  /** Writes a line and presses Enter. */
  async say(text: string): Promise<void> {
    await this.box.fill(text);
    await this.box.press("Enter");
    await expect(this.box).toHaveValue("");
  }

  /** Writes many lines in one moment, quicker than a person could. */
  async sayAll(texts: string[]): Promise<void> {
    await this.box.evaluate((box: HTMLTextAreaElement, texts) => {
      for (const text of texts) {
        box.value = text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        box.form?.requestSubmit();
      }
    }, texts);
    await expect(this.box).toHaveValue("");
  }

  /** What is written in the room, from top to bottom, in messages that are sent. */
  async said(): Promise<string[]> {
    return this.timeline.locator(".message:not(.pending):not(.failed) .message-text").allTextContents();
  }

  /** Every message that this page wrote has been acknowledged. */
  async allSent(): Promise<void> {
    await expect(this.timeline.locator(".message.pending, .message.failed")).toHaveCount(0);
  }

  room(name: string): Locator {
    return this.rooms.locator(".room-link").filter({ hasText: name });
  }

  person(name: string): Locator {
    return this.rooms.locator(".person-row").filter({ hasText: name });
  }

  /** Opens the direct room with somebody who is here. */
  async writeTo(name: string): Promise<void> {
    await this.rooms.getByRole("button", { name: `Write to ${name}` }).click();
    await expect(this.page.getByRole("heading", { level: 1, name })).toBeVisible();
  }
}
