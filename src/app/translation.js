// Translators put a <font> in the place of a text node, while the program goes on with the text node. It is put back in front of its
// translation, empty, so that the program finds its place.
const originals = new WeakMap();
const translations = new WeakMap();

const startTranslation = (text, font) => {
  originals.set(font, { text, data: text.data });
  translations.set(text, font);
  // Nothing observes a text node that is not in the document, so only the program's changes are seen below.
  text.data = "";
  font.before(text);
};

const endTranslation = (text) => {
  const font = translations.get(text);
  translations.delete(text);
  originals.delete(font);
  font.remove();
};

const onRemoved = (node, { addedNodes, previousSibling, nextSibling }) => {
  if (originals.has(node)) {
    // The translator shows the original again.
    const { text, data } = originals.get(node);
    translations.delete(text);
    originals.delete(node);
    if (text.data === "") text.data = data;
  } else if (node instanceof Text && !node.isConnected) {
    const isNew = (other) => other?.nodeName === "FONT" && other.isConnected && !originals.has(other);
    const font = [...addedNodes, previousSibling, nextSibling].find(isNew);
    if (translations.has(node)) endTranslation(node);
    else if (font !== undefined) startTranslation(node, font);
  }
};

new MutationObserver((records) => {
  for (const record of records) {
    const { target, removedNodes } = record;
    if (translations.has(target)) endTranslation(target);
    for (const node of removedNodes) onRemoved(node, record);
  }
}).observe(document, { childList: true, characterData: true, subtree: true });
