const shown = new Promise((done) => {
  if (document.hidden) done();
  requestAnimationFrame(() => setTimeout(done));
  setTimeout(done, 1000);
});

const get = async (url, signal) => {
  const answer = await fetch(url, { signal });
  if (answer.ok) return answer;
  throw Object.assign(new Error(`${url}: ${answer.status}`), { gone: answer.status === 404 });
};

const load = async (signal) => {
  const rendered = [...document.querySelectorAll("[data-part]")];
  const parts = rendered.flatMap(({ dataset }) => app.parts[dataset.part] ?? []);
  const [module_or_path] = await Promise.all([
    get(app.wasm, signal),
    ...[...app.scripts, ...parts].map(async (url) => (await get(url, signal)).blob()),
  ]);
  const program = await import(app.scripts[0]);
  await program.default({ module_or_path });
  return program;
};

const reloadIsNew = () => {
  try {
    const key = "rialto.reloaded";
    const fresh = Date.now() - Number(sessionStorage.getItem(key)) > 60000;
    if (fresh) sessionStorage.setItem(key, Date.now());
    return fresh;
  } catch {
    return false;
  }
};

const loaded = async () => {
  for (let wait = 500; ; wait = Math.min(2 * wait, 30000)) {
    const attempt = new AbortController();
    try {
      return await load(attempt.signal);
    } catch (error) {
      attempt.abort();
      if (error instanceof WebAssembly.CompileError || error instanceof WebAssembly.LinkError) throw error;
      console.warn(error);
      if (error.gone && reloadIsNew()) location.reload();
      await new Promise((done) => setTimeout(done, (wait * (1 + Math.random())) / 2));
    }
  }
};

shown.then(loaded).then((program) => program.hydrate());
