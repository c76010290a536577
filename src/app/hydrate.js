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

const loadProgram = async (signal) => {
  const rendered = [...document.querySelectorAll("[data-part]")];
  const chunkUrls = rendered.flatMap(({ dataset }) => app.parts[dataset.part] ?? []);
  const [module_or_path] = await Promise.all([
    fetchOk(app.wasm, signal),
    ...[...app.scripts, ...chunkUrls].map(async (url) => (await fetchOk(url, signal)).blob()),
  ]);
  const program = await import(app.scripts[0]);
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

const loadWithRetry = async () => {
  for (let delay = 500; ; delay = Math.min(2 * delay, 30000)) {
    const attempt = new AbortController();
    try {
      return await loadProgram(attempt.signal);
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
  if (isLink || (hasStopped && event.type === "submit")) event.stopImmediatePropagation();
};

let hasStopped = false;
const showStopped = ({ error, reason }) => {
  if (hasStopped || !((error ?? reason) instanceof WebAssembly.RuntimeError)) return;
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

// Some policies, and iOS in Lockdown Mode, take WebAssembly away: the page then stays plain HTML.
if (typeof WebAssembly === "object") {
  // A panic ends in a WebAssembly trap, which is an uncaught error of whatever called the program.
  addEventListener("error", showStopped);
  addEventListener("unhandledrejection", showStopped);
  addEventListener("click", useAsHtml, true);

  firstPaint.then(loadWithRetry).then(async (program) => {
    await program.hydrate();
    if (!hasStopped) removeEventListener("click", useAsHtml, true);
  });
}
