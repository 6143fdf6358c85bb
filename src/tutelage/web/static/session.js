// Requests to the studio. If the session has ended, the dialog on the page asks for the password, then continues.

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const dialog = document.getElementById("sign-in-again");
const problem = document.getElementById("sign-in-problem");
let asking = null;

const token = () => document.querySelector("#work input[name=csrf_token]").value;

function useToken(text) {
  for (const input of document.querySelectorAll("input[name=csrf_token]")) input.value = text;
}

async function ask(path, body, options = {}) {
  const init = body === null ? {} : { method: "POST", body, headers: { "X-CSRF-Token": token() } };
  const response = await fetch(path, { ...init, ...options, credentials: "same-origin" });
  const isJson = (response.headers.get("content-type") ?? "").includes("json");
  const told = isJson ? await response.json() : { detail: await response.text() };
  if (!response.ok) throw new Refused(response.status, String(told.detail));
  return told;
}

// Sends `body` (URLSearchParams). An ended session is restarted in the dialog; one restarted in another
// window is reused. Throws Refused (status 401: not signed in, and not now), or TypeError without network.
export async function send(path, body, labelerId, { isQuiet = false, ...options } = {}) {
  try {
    return await ask(path, body, options);
  } catch (error) {
    if (!(error instanceof Refused) || ![401, 403].includes(error.status) || options.keepalive) throw error;
    if (!(await isSignedIn(labelerId, isQuiet))) throw new Refused(401, "You are not signed in.");
    return ask(path, body, options);
  }
}

async function isSignedIn(labelerId, isQuiet) {
  const session = await ask("/api/session", null);
  useToken(session.csrf_token);
  if (session.labeler_id === labelerId) return true;
  if (isQuiet) return false;
  asking ??= askPassword(labelerId).finally(() => { asking = null; });
  return asking;
}

function askPassword(labelerId) {
  const password = dialog.querySelector("[name=password]");
  const before = document.activeElement;
  problem.hidden = true;
  dialog.returnValue = "later";
  dialog.showModal();
  password.focus();
  return new Promise((resolve) => {
    const form = dialog.querySelector("form");
    const done = (answer) => {
      form.removeEventListener("submit", tried);
      dialog.removeEventListener("close", closed);
      if (dialog.open) dialog.close();
      password.value = "";
      before?.focus({ preventScroll: true });
      resolve(answer);
    };
    const closed = () => done(false);
    const tried = async (event) => {
      if (event.submitter?.value === "later") return;
      event.preventDefault();
      try {
        const session = await ask("/api/session", new URLSearchParams(new FormData(form)));
        useToken(session.csrf_token);
        done(session.labeler_id === labelerId);
      } catch (error) {
        problem.textContent = error instanceof Refused ? error.message : "The studio cannot be reached. Try again.";
        problem.hidden = false;
        password.select();
      }
    };
    form.addEventListener("submit", tried);
    dialog.addEventListener("close", closed);
  });
}
