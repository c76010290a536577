/** The chat as a person uses it. */
import { type Locator, type Page, expect } from "@playwright/test";

export class ChatUi {
  readonly rooms: Locator;
  readonly timeline: Locator;
  readonly messages: Locator;
  readonly composer: Locator;

  constructor(private readonly page: Page) {
    this.rooms = page.getByRole("navigation", { name: "Rooms and people" });
    this.timeline = page.getByRole("log");
    this.messages = this.timeline.getByRole("article");
    this.composer = page.getByRole("textbox", { name: /^Message to / });
  }

  message(text: string | RegExp): Locator {
    return this.messages.filter({ hasText: text });
  }

  /** Writes a line and presses Enter. */
  async sendMessage(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press("Enter");
    await expect(this.composer).toHaveValue("");
  }

  /** Writes many lines in one moment, quicker than a person could. */
  async sendMessages(texts: string[]): Promise<void> {
    await this.composer.evaluate((box: HTMLTextAreaElement, texts) => {
      for (const text of texts) {
        box.value = text;
        box.dispatchEvent(new Event("input", { bubbles: true }));
        box.form?.requestSubmit();
      }
    }, texts);
    await expect(this.composer).toHaveValue("");
  }

  /** What is written in the room, from top to bottom, in messages that are sent. */
  async sentTexts(): Promise<string[]> {
    return this.timeline.locator(".message:not(.pending):not(.failed) .message-text").allTextContents();
  }

  /** Every message that this page wrote has been acknowledged. */
  async expectAllAcknowledged(): Promise<void> {
    await expect(this.timeline.locator(".message.pending, .message.failed")).toHaveCount(0);
  }

  roomLink(name: string): Locator {
    return this.rooms.locator(".room-link").filter({ hasText: name });
  }

  personRow(name: string): Locator {
    return this.rooms.locator(".person-row").filter({ hasText: name });
  }

  /** Opens the direct room with somebody who is here. */
  async openDirectRoom(name: string): Promise<void> {
    await this.rooms.getByRole("button", { name: `Write to ${name}` }).click();
    await expect(this.page.getByRole("heading", { level: 1, name })).toBeVisible();
  }
}
