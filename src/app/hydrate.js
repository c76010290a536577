const firstPaint = new Promise((done) => {
  if (document.hidden) done();
  requestAnimationFrame(() => setTimeout(done));
  setTimeout(done, 1000);
});

const fetchOk = async (url, signal) => {
  const response = await fetch(url, { signal });
  if (response.ok) return response;
  throw Object.assign(new Error(`${url}: ${response.status}`), { isNotFound: response.status === 404 });
};

// A module has one instance of the program for each URL.
const secondUrl = (url) => url.replace(app.folder, app.secondFolder);

const loadProgram = async (toUrl, signal) => {
  const rendered = [...document.querySelectorAll("[data-part]")];
  const chunkUrls = rendered.flatMap(({ dataset }) => app.parts[dataset.part] ?? []);
  const [module_or_path] = await Promise.all([
    fetchOk(app.wasm, signal),
    ...[...app.scripts, ...chunkUrls].map(async (url) => (await fetchOk(toUrl(url), signal)).blob()),
  ]);
  const program = await import(toUrl(app.scripts[0]));
  await program.default({ module_or_path });
  return program;
};

const mayReload = () => {
  try {
    const key = "rialto.reloaded";
    const fresh = Date.now() - Number(sessionStorage.getItem(key)) > 60000;
    if (fresh) sessionStorage.setItem(key, Date.now());
    return fresh;
  } catch {
    return false;
  }
};

const loadWithRetry = async (toUrl) => {
  for (let delay = 500; ; delay = Math.min(2 * delay, 30000)) {
    const attempt = new AbortController();
    try {
      return await loadProgram(toUrl, attempt.signal);
    } catch (error) {
      attempt.abort();
      if (error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError) throw error;
      console.warn(error);
      if (error.isNotFound && mayReload()) location.reload();
      await new Promise((done) => setTimeout(done, (delay * (1 + Math.random())) / 2));
    }
  }
};

// While the page is being hydrated, the router listens but its routes are not built; after a panic nothing answers. Links and forms then
// work as in plain HTML: no listener of the program receives the event.
const useAsHtml = (event) => {
  const isLink = event.type === "click" && event.target.closest?.("a[href]");
  if (isLink || event.type === "submit") event.stopImmediatePropagation();
};

let hasStopped = false;
const showStopped = () => {
  if (hasStopped) return;
  hasStopped = true;
  addEventListener("click", useAsHtml, true);
  addEventListener("submit", useAsHtml, true);
  const notice = document.createElement("div");
  notice.className = "notice error program-stopped";
  notice.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.textContent = "This page has stopped working because of an error in Rialto. Reload it to continue.";
  const reload = document.createElement("button");
  reload.className = "button";
  reload.textContent = "Reload";
  reload.onclick = () => location.reload();
  notice.append(text, reload);
  document.body.prepend(notice);
};

const isChoice = ({ type }) => type === "checkbox" || type === "radio";

// The fields that a person fills in, by a name that a field has in each rendering of the page.
const formFields = () => {
  const fields = new Map();
  for (const field of document.querySelectorAll("input:not([type=hidden], [type=file]), textarea, select")) {
    const name = [field.form?.getAttribute("action"), field.name || field.id, isChoice(field) && field.value].join(" ");
    let number = 0;
    while (fields.has(`${name} ${number}`)) number += 1;
    fields.set(`${name} ${number}`, field);
  }
  return fields;
};

const isFilledIn = (field) => {
  if (isChoice(field)) return field.checked !== field.defaultChecked;
  if (field.options) return [...field.options].some((option) => option.selected !== option.defaultSelected);
  return field.value !== field.defaultValue;
};

const copyInput = (from, to) => {
  if (isChoice(from)) to.checked = from.checked;
  else to.value = from.value;
  to.dispatchEvent(new InputEvent("input", { bubbles: true }));
};

// Replaces a page that cannot be hydrated, because something has changed the server's HTML: a translator, an extension or a proxy.
const mountAgain = async () => {
  const program = await loadWithRetry(secondUrl);
  const before = formFields();
  const [focused] = [...before].find(([, field]) => field === document.activeElement) ?? [];
  const { scrollX, scrollY } = window;
  phase = "mounting";
  await program.mount();
  for (const [name, to] of formFields()) {
    const from = before.get(name);
    if (from && isFilledIn(from)) copyInput(from, to);
    if (name !== focused) continue;
    to.focus({ preventScroll: true });
    // Only text has a selection.
    if (typeof from.selectionStart === "number") to.setSelectionRange(from.selectionStart, from.selectionEnd);
  }
  scrollTo({ left: scrollX, top: scrollY, behavior: "instant" });
};

// The listeners of a program on the window, until it is hydrated. They are all that calls it then.
const windowListeners = [];
const { addEventListener: addListener } = window;

// The first program hydrates. After its panic the second one loads, and mounts.
let phase = "hydrating";
const onLive = () => {
  phase = "live";
  window.addEventListener = addListener;
  if (hasStopped) return;
  removeEventListener("click", useAsHtml, true);
  removeEventListener("submit", useAsHtml, true);
};

// A panic ends in a WebAssembly trap, which is an uncaught error of whatever called the program. The program cannot be used any more.
const onError = ({ error, reason }) => {
  if (!((error ?? reason) instanceof WebAssembly.RuntimeError)) return;
  if (phase === "mounting" || phase === "live") showStopped();
  if (phase !== "hydrating") return;
  phase = "loading";
  addListener("submit", useAsHtml, true);
  window.addEventListener = addListener;
  for (const listener of windowListeners) removeEventListener(...listener);
  mountAgain().then(onLive);
};

// Some policies, and iOS in Lockdown Mode, take WebAssembly away: the page then stays plain HTML.
if (typeof WebAssembly === "object") {
  window.addEventListener = (...listener) => {
    windowListeners.push(listener);
    addListener.apply(window, listener);
  };
  addListener("error", onError);
  addListener("unhandledrejection", onError);
  addListener("click", useAsHtml, true);

  firstPaint
    .then(() => loadWithRetry((url) => url))
    .then((program) => program.hydrate())
    .then(onLive);
}
