/** What browsers do to text when they translate a page. */

export interface TranslatorOptions {
  /** Each text node gets a `<font>` around it, or a `<font>` with the translation takes its place, as in Chrome. */
  mode: "wrap" | "replace";
  /** Whether only the text of the loaded document is translated. */
  once: boolean;
}

/**
 * Runs in the page, so it must not refer to anything outside itself. The translation of "Hello" is "[Hello]". The event
 * `showoriginal` at the document ends it.
 */
export function startTranslator({ mode, once }: TranslatorOptions): void {
  const originals = new Map<HTMLElement, Text>();
  const translateText = (text: Text) => {
    const isTranslatable = text.parentElement?.closest("font, script, style, textarea, title") === null;
    if (!isTranslatable || text.data.trim() === "") return;
    const font = document.createElement("font");
    font.textContent = `[${text.data}]`;
    text.replaceWith(font);
    originals.set(font, text);
    if (mode === "wrap") {
      text.data = `[${text.data}]`;
      font.replaceChildren(text);
    }
  };
  const translate = (node: Node) => {
    const texts: Text[] = [];
    const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
    if (node instanceof Text) texts.push(node);
    while (walker.nextNode() !== null) texts.push(walker.currentNode as Text);
    texts.forEach(translateText);
  };
  const start = () => {
    translate(document.body);
    if (once) return;
    const observer = new MutationObserver((records) => {
      for (const { target, addedNodes } of records) {
        if (target instanceof Text) translateText(target);
        addedNodes.forEach(translate);
      }
    });
    observer.observe(document.body, { childList: true, characterData: true, subtree: true });
    document.addEventListener("showoriginal", () => {
      observer.disconnect();
      for (const [font, text] of originals) if (font.isConnected) font.replaceWith(text);
    });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
}
