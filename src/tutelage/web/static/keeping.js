// Nothing that was entered is lost: every change is in this browser at once, in the studio a moment later. The time
// that somebody really works is measured here, and the task is held for as long as they do.
import { forget, remember, remembered } from "./memory.js";
import { Refused, send } from "./session.js";

const SAVE_AFTER = 2500; // after the last change, in ms
const SAVE_WITHIN = 10000; // of the first change that is not saved
const RETRY_AFTER = [3000, 10000, 30000];
const HEARTBEAT = 120000;
const IDLE_AFTER = 120000; // without a movement for so long, time does not count

export function keep(form) {
  const { slot, page, item, labeler } = form.dataset;
  const place = `tutelage/${labeler}/${item}/${page}`;
  const kept = document.getElementById("kept");
  const alerts = document.getElementById("alerts");
  const minutes = document.getElementById("minutes");
  const before = Number(minutes.textContent) * 60;
  const clock = activity();
  let saved = written();
  let isLost = false;
  let isLeaving = false;
  let isDeclined = false; // to sign in again: then only a press of a button asks once more
  let failures = 0;
  let saving = null;
  let timer = 0;
  let due = 0;

  function written() {
    const entries = [...new FormData(form)].filter(([name]) => !HIDDEN.has(name));
    return JSON.stringify(entries);
  }

  function changed() {
    if (written() === saved) return;
    copy();
    if (isLost) return;
    kept.textContent = "Not saved yet";
    kept.className = "kept";
    due ||= Date.now() + SAVE_WITHIN;
    later(Math.max(0, Math.min(SAVE_AFTER, due - Date.now())));
  }

  function later(delay) {
    clearTimeout(timer);
    timer = setTimeout(save, delay);
  }

  // The copy in this browser tells what it was made from: a newer draft from elsewhere is not overwritten unasked.
  const copy = () => remember(place, JSON.stringify({ from: saved, entries: written(), at: Date.now() }));

  function body(seconds) {
    const sent = new URLSearchParams(JSON.parse(written()));
    sent.set("active_seconds", seconds.toFixed(1));
    return sent;
  }

  // One request at a time, so that an old state cannot arrive after a new one.
  function save() {
    clearTimeout(timer);
    saving ??= saveNow().finally(() => { saving = null; });
    return saving;
  }

  function saveAsked() {
    isDeclined = false;
    return save();
  }

  async function saveNow() {
    const sending = written();
    const seconds = clock.take();
    try {
      const told = await send(`/api/task/${slot}/pages/${page}`, body(seconds), labeler, { isQuiet: isDeclined });
      accepted(sending, told);
      return true;
    } catch (error) {
      clock.giveBack(seconds);
      failed(error);
      return false;
    }
  }

  function accepted(sending, told) {
    saved = sending;
    failures = 0;
    due = 0;
    minutes.textContent = String(Math.max(Math.floor(told.total_seconds / 60), Math.floor(before / 60)));
    alerts.replaceChildren();
    if (written() !== saved) return changed();
    forget(place);
    kept.textContent = `Saved ${new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`;
    kept.className = "kept is-kept";
  }

  function failed(error) {
    if (!(error instanceof Refused) && !(error instanceof TypeError)) throw error;
    if (written() !== saved) copy();
    kept.textContent = "Not saved";
    kept.className = "kept is-failed";
    if (error.status === 409) return lost(error.message);
    if (error.status === 401) {
      isDeclined = true;
      tell("You are not signed in, so nothing is saved in the studio. What you enter is kept in this browser.", "Sign in", saveAsked);
      return;
    }
    if (error.status >= 400 && error.status < 500 && error.status !== 429) {
      tell(`This was not saved: ${error.message}`, "Try again", saveAsked);
      return;
    }
    tell("The studio could not be reached. What you entered is kept on this page and in this browser, and is sent as soon as it answers.", "Try now", saveAsked);
    later(RETRY_AFTER[Math.min(failures, RETRY_AFTER.length - 1)]);
    failures += 1;
  }

  function lost(message) {
    isLost = true;
    clearTimeout(timer);
    for (const button of document.querySelectorAll("button[name=go], .leaving button")) button.disabled = true;
    const words = `${message} What you entered stays on this page and in this browser: copy what you need. If the task comes back to you, it is filled in again.`;
    tell(words, "To your tasks", () => location.assign("/"));
  }

  function tell(words, action, then) {
    if (alerts.querySelector("p")?.textContent === words) return;
    const text = document.createElement("p");
    text.textContent = words;
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: action });
    button.addEventListener("click", () => then());
    alerts.replaceChildren(text, button);
  }

  async function beat() {
    if (isLost || isDeclined || !clock.isActive()) return;
    try {
      await send(`/api/task/${slot}/lease`, new URLSearchParams(), labeler);
    } catch (error) {
      // Without network nothing is wrong yet: saving will tell.
      if (!(error instanceof TypeError)) failed(error);
    }
  }

  function restore() {
    const found = JSON.parse(remembered(place) ?? "null");
    if (!found || found.entries === saved) return forget(place);
    if (found.from === saved) {
      fill(form, found.entries);
      kept.textContent = "Filled in again with what had not reached the studio";
      return changed();
    }
    const at = new Date(found.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    tell(`This browser holds another version of this page, of ${at}, that never reached the studio.`, "Use that version", () => {
      alerts.replaceChildren();
      fill(form, found.entries);
      changed();
    });
  }

  for (const kind of ["input", "change"]) form.addEventListener(kind, changed);
  addEventListener("online", () => written() !== saved && save());
  // Somebody who comes back to the page wants to know whether the task is still theirs.
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") return void beat();
    if (!isLost && written() !== saved) save();
  });
  addEventListener("pagehide", () => {
    const seconds = clock.take();
    if (isLost || isLeaving || (written() === saved && seconds < 1)) return;
    send(`/api/task/${slot}/pages/${page}`, body(seconds), labeler, { isQuiet: true, keepalive: true }).catch(() => clock.giveBack(seconds));
  });
  setInterval(beat, HEARTBEAT);

  restore();

  return {
    // Before the page is left by its form: true once the studio has everything, so that the form may go.
    async leave() {
      if (isLost) return false;
      if (saving) await saving;
      if (!(await saveAsked())) return false;
      isLeaving = true;
      clearTimeout(timer);
      form.elements.active_seconds.value = clock.take().toFixed(1);
      return true;
    },
  };
}

const HIDDEN = new Set(["csrf_token", "lease_token", "client_uuid", "opened_at", "active_seconds", "go"]);

// Put entries (as JSON of pairs) into a form; what they do not name is empty.
function fill(form, text) {
  const entries = new Map(JSON.parse(text));
  for (const input of form.elements) {
    if (!input.name || HIDDEN.has(input.name) || input.tagName === "BUTTON") continue;
    if (input.type === "radio" || input.type === "checkbox") input.checked = entries.get(input.name) === input.value;
    else input.value = entries.get(input.name) ?? "";
  }
  form.dispatchEvent(new CustomEvent("filled"));
}

// Seconds in which the page is visible and somebody has moved, typed or scrolled a short while ago.
function activity() {
  let last = Date.now();
  let seconds = 0;
  const count = () => {
    const now = Date.now();
    seconds += Math.max(0, Math.min(now - last, IDLE_AFTER)) / 1000; // a clock that is set back counts nothing
    last = now;
  };
  const moved = () => {
    if (document.visibilityState === "visible") count();
  };
  for (const kind of ["pointerdown", "pointermove", "keydown", "scroll", "input"]) {
    addEventListener(kind, moved, { passive: true, capture: true });
  }
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "hidden") count();
    last = Date.now();
  });
  return {
    take() {
      moved();
      const taken = seconds;
      seconds = 0;
      return taken;
    },
    giveBack(taken) { seconds += taken; },
    isActive: () => document.visibilityState === "visible" && Date.now() - last < IDLE_AFTER,
  };
}
