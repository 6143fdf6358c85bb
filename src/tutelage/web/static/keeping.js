// Autosave: every change is stored in this browser at once, and in the studio a moment later. The time that the
// labeler actually works is measured here, and the task's lease is renewed for as long as they work.
import { forget, remember, remembered } from "./memory.js";
import { Refused, send } from "./session.js";

const SAVE_AFTER = 2500; // after the last change, in ms
const SAVE_WITHIN = 10000; // of the first unsaved change
const RETRY_AFTER = [3000, 10000, 30000];
const HEARTBEAT = 120000;
const IDLE_AFTER = 120000; // without activity for this long, time does not count

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
  let isDeclined = false; // declined to sign in again: only pressing a button asks once more
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

  // The copy in this browser records what it was based on: a newer draft from elsewhere is not overwritten unasked.
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
    tell("The studio could not be reached. What you entered is kept on this page and in this browser, and will be sent as soon as the studio responds.", "Try now", saveAsked);
    later(RETRY_AFTER[Math.min(failures, RETRY_AFTER.length - 1)]);
    failures += 1;
  }

  function lost(message) {
    isLost = true;
    clearTimeout(timer);
    for (const button of document.querySelectorAll("button[name=go], .leaving button")) button.disabled = true;
    const words = `${message} What you entered stays on this page and in this browser: copy what you need. If you get this task again, it is restored.`;
    tell(words, "Go to your tasks", () => location.assign("/"));
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
      // A lost connection is not an error yet: saving will report it.
      if (!(error instanceof TypeError)) failed(error);
    }
  }

  function restore() {
    const found = JSON.parse(remembered(place) ?? "null");
    if (!found || found.entries === saved) return forget(place);
    if (found.from === saved) {
      fill(form, found.entries);
      kept.textContent = "Restored what had not been saved";
      return changed();
    }
    const at = new Date(found.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    tell(`This browser has another version of this page, from ${at}, that was never saved.`, "Use that version", () => {
      alerts.replaceChildren();
      fill(form, found.entries);
      changed();
    });
  }

  for (const kind of ["input", "change"]) form.addEventListener(kind, changed);
  addEventListener("online", () => written() !== saved && save());
  // On returning to the page, check that the task is still assigned to the labeler.
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
    // Before the form leaves the page: true once the studio has everything, so that the form may be submitted.
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

// Put entries (JSON pairs) into a form; fields they do not name become empty.
function fill(form, text) {
  const entries = new Map(JSON.parse(text));
  for (const input of form.elements) {
    if (!input.name || HIDDEN.has(input.name) || input.tagName === "BUTTON") continue;
    if (input.type === "radio" || input.type === "checkbox") input.checked = entries.get(input.name) === input.value;
    else input.value = entries.get(input.name) ?? "";
  }
  form.dispatchEvent(new CustomEvent("filled"));
}

// Seconds in which the page is visible and there was recent movement, typing or scrolling.
function activity() {
  let last = Date.now();
  let seconds = 0;
  const count = () => {
    const now = Date.now();
    seconds += Math.max(0, Math.min(now - last, IDLE_AFTER)) / 1000; // a clock set back counts nothing
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
