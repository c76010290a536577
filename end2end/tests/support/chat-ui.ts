/** Page object of the chat. */
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

  /** Types a message and presses Enter. */
  async sendMessage(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press("Enter");
    await expect(this.composer).toHaveValue("");
  }

  /** Sends many messages in one task of the page, faster than a person could type. */
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

  /** Chooses files and sends them without a text. */
  async sendFiles(...files: { name: string; mimeType: string; buffer: Buffer }[]): Promise<void> {
    await this.page.getByLabel("Add files").setInputFiles(files);
    await this.page.getByRole("button", { name: "Send", exact: true }).click();
  }

  /** Texts of the sent messages in the room, from top to bottom. */
  async sentTexts(): Promise<string[]> {
    return this.timeline.locator(".message:not(.pending, .delayed, .failed) .message-text").allTextContents();
  }

  /** No message of this page is pending, delayed or failed. */
  async expectAllAcknowledged(): Promise<void> {
    await expect(this.timeline.locator(".message:is(.pending, .delayed, .failed)")).toHaveCount(0);
  }

  roomLink(name: string): Locator {
    return this.rooms.locator(".room-link").filter({ hasText: name });
  }

  personRow(name: string): Locator {
    return this.rooms.locator(".person-row").filter({ hasText: name });
  }

  /** Opens the direct room with a person who is present. */
  async openDirectRoom(name: string): Promise<void> {
    await this.rooms.getByRole("button", { name: `Message ${name}` }).click();
    await expect(this.page.getByRole("heading", { level: 1, name })).toBeVisible();
  }
}
