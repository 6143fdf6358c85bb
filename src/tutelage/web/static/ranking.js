// Accessible ranking: the completions' cards are shown in the order of their selects. Every way to move one (handle,
// buttons, keys, the select itself) writes to the selects, and the page is drawn from them.
import { dragByHandles } from "./dragging.js";

export function rank(form) {
  const cards = document.getElementById("cards");
  const state = document.getElementById("ranking-state");
  const announcer = document.getElementById("announcer");
  const card = Object.fromEntries([...cards.children].map((each) => [each.dataset.letter, each]));
  const letters = Object.keys(card);
  const select = Object.fromEntries(letters.map((each) => [each, card[each].querySelector("select")]));
  const instead = { all_tied: form.elements.all_tied, cannot_rank: form.elements.cannot_rank };
  let view = "list";
  let putAside = null;

  const rankOf = (letter) => Number(select[letter].value) || null;
  const unranked = () => letters.filter((each) => !rankOf(each));
  const isInstead = () => instead.all_tied.checked || instead.cannot_rank.checked;

  // Tie groups, best first.
  function groups() {
    const levels = [...new Set(letters.map(rankOf).filter(Boolean))].sort((one, other) => one - other);
    return levels.map((level) => letters.filter((each) => rankOf(each) === level));
  }

  // Empty groups get no rank: ranks are renumbered without gaps.
  function setGroups(wanted) {
    const filled = wanted.filter((group) => group.length);
    for (const letter of letters) {
      const index = filled.findIndex((group) => group.includes(letter));
      select[letter].value = index < 0 ? "" : String(index + 1);
    }
  }

  const without = (letter) => groups().map((group) => group.filter((each) => each !== letter));

  // Where a dragged card may be dropped: {on: i} into the i-th group, {before: i} as a rank of its own, {out: true}.
  function place(letter, target) {
    const wanted = without(letter);
    if ("on" in target) wanted[target.on].push(letter);
    else if ("before" in target) wanted.splice(target.before, 0, [letter]);
    setGroups(wanted);
    done(letter);
  }

  function up(letter) {
    const now = groups();
    const index = now.findIndex((group) => group.includes(letter));
    if (index < 0) return place(letter, { before: now.length });
    if (now[index].length > 1) return place(letter, { before: index });
    if (index === 0) return say(`Completion ${letter} is first already.`);
    return place(letter, { before: index - 1 });
  }

  function down(letter) {
    const now = groups();
    const index = now.findIndex((group) => group.includes(letter));
    if (index < 0) return say(`Completion ${letter} is not ranked yet.`);
    if (now[index].length > 1) return place(letter, { before: index + 1 });
    if (index === now.length - 1) return say(`Completion ${letter} is last already.`);
    return place(letter, { before: index + 2 });
  }

  function tie(letter) {
    const now = groups();
    const index = now.findIndex((group) => group.includes(letter));
    if (index >= 0 && now[index].length > 1) return place(letter, { before: index + 1 });
    const above = index < 0 ? now.length - 1 : index - 1;
    if (above < 0) return say(`There is nothing above completion ${letter} to tie it with.`);
    return place(letter, { on: above });
  }

  function give(letter, number) {
    select[letter].value = number ? String(number) : "";
    done(letter);
  }

  // After a move by this script: fires the event of a changed select, so that it is saved.
  function done(letter) {
    leaveInstead();
    select[letter].dispatchEvent(new Event("change", { bubbles: true }));
  }

  function leaveInstead() {
    putAside = null;
    instead.all_tied.checked = instead.cannot_rank.checked = false;
  }

  function say(words) {
    announcer.textContent = "";
    requestAnimationFrame(() => { announcer.textContent = words; });
  }

  function told(letter) {
    const now = groups();
    const index = now.findIndex((group) => group.includes(letter));
    if (index < 0) return `Completion ${letter} is not ranked. ${summary()}`;
    const others = now[index].filter((each) => each !== letter);
    const tied = others.length ? `, tied with ${others.join(" and ")}` : "";
    return `Completion ${letter}: rank ${rankOf(letter)} of ${now.length}${tied}. ${summary()}`;
  }

  function summary() {
    if (instead.all_tied.checked) return "All are about equally good.";
    if (instead.cannot_rank.checked) return "They cannot be ranked.";
    const open = unranked();
    if (open.length === letters.length) return "Nothing is ranked yet.";
    if (open.length) return `${letters.length - open.length} of ${letters.length} ranked; still to rank: ${open.join(", ")}.`;
    return "All are ranked.";
  }

  function draw() {
    const focused = document.activeElement;
    cards.className = `cards ${view}${isInstead() ? " is-instead" : ""}`;
    const ordered = groups();
    if (view === "side") cards.replaceChildren(...letters.map((each) => card[each]));
    else cards.replaceChildren(...ordered.map(bucket), ...tray());
    for (const letter of letters) dress(letter);
    const open = unranked().length;
    state.dataset.state = isInstead() || !open ? "complete" : open === letters.length ? "untouched" : "partial";
    const order = ordered.map((group) => group.join(" = ")).join(" > ");
    state.textContent = isInstead() || !order ? summary() : `${order} · ${summary()}`;
    if (focused && cards.contains(focused)) focused.focus({ preventScroll: true });
  }

  function bucket(group, index) {
    const number = rankOf(group[0]);
    const name = `Rank ${number}${index === 0 ? ", best" : ""}${group.length > 1 ? ", tied" : ""}`;
    return section("bucket", name, group, index);
  }

  function tray() {
    const open = unranked();
    if (open.length) return [section("tray", open.length === letters.length ? "To be ranked" : "Still to be ranked", open, -1)];
    return [];
  }

  function section(kind, name, group, index) {
    const made = document.createElement("section");
    made.className = kind;
    made.dataset.index = String(index);
    const title = Object.assign(document.createElement("p"), { className: "bucket-name", textContent: name });
    made.append(title, ...group.map((each) => card[each]));
    return made;
  }

  function dress(letter) {
    const number = rankOf(letter);
    card[letter].classList.toggle("is-ranked", Boolean(number));
    card[letter].setAttribute("aria-description", number ? `rank ${number}` : "not ranked yet");
    const words = card[letter].querySelector(".words");
    const whole = card[letter].querySelector(".whole-text");
    whole.hidden = view === "side" || (words.scrollHeight <= words.clientHeight + 2 && !words.classList.contains("is-whole"));
  }

  function addControls(letter) {
    const bar = card[letter].querySelector(".rank");
    const handle = Object.assign(document.createElement("span"), { className: "handle", title: `Drag completion ${letter}` });
    handle.setAttribute("aria-hidden", "true");
    handle.textContent = "⠿";
    bar.prepend(handle);
    const buttons = document.createElement("span");
    buttons.className = "moves";
    buttons.append(
      button("▲", `Move completion ${letter} up`, () => up(letter)),
      button("▼", `Move completion ${letter} down`, () => down(letter)),
      button("=", `Tie completion ${letter} with the one above`, () => tie(letter)),
    );
    bar.append(buttons);
    const whole = button("Show all", "", () => {
      const isWhole = card[letter].querySelector(".words").classList.toggle("is-whole");
      whole.textContent = isWhole ? "Show less" : "Show all";
    });
    whole.className = "quiet whole-text";
    whole.removeAttribute("aria-label");
    card[letter].append(whole);
    card[letter].tabIndex = 0;
  }

  function button(text, label, then) {
    const made = Object.assign(document.createElement("button"), { type: "button", textContent: text });
    made.setAttribute("aria-label", label);
    made.title = label;
    made.addEventListener("click", then);
    return made;
  }

  function show(wanted) {
    view = wanted;
    document.querySelector(".work").classList.toggle("is-side", view === "side");
    for (const each of document.querySelectorAll("[data-view]")) each.setAttribute("aria-pressed", String(each.dataset.view === view));
    draw();
  }

  // "All tied" and "cannot rank" replace the ranks; unchecking them restores the ranks.
  function insteadChanged(box) {
    const other = box === instead.all_tied ? instead.cannot_rank : instead.all_tied;
    if (box.checked) {
      other.checked = false;
      putAside ??= letters.map((each) => select[each].value);
      for (const letter of letters) select[letter].value = "";
    } else if (putAside) {
      letters.forEach((each, index) => { select[each].value = putAside[index]; });
      putAside = null;
    }
    draw();
    say(summary());
  }

  function step(by) {
    const shown = [...cards.querySelectorAll(".ranked")];
    const now = shown.indexOf(document.activeElement?.closest?.(".ranked"));
    const next = shown[now < 0 ? 0 : Math.min(Math.max(now + by, 0), shown.length - 1)];
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  function obey(event) {
    if (event.key === "j" || event.key === "k") return step(event.key === "j" ? 1 : -1), true;
    if (event.key === "s") return show(view === "side" ? "list" : "side"), true;
    const letter = event.target.closest?.(".ranked")?.dataset.letter;
    if (!letter) return false;
    if (/^\d$/.test(event.key) && Number(event.key) <= letters.length) give(letter, Number(event.key));
    else if (event.key === "=") tie(letter);
    else if (event.key === "u") up(letter);
    else if (event.key === "d") down(letter);
    else return false;
    card[letter].scrollIntoView({ block: "nearest" });
    return true;
  }

  for (const letter of letters) {
    addControls(letter);
    select[letter].addEventListener("change", () => {
      leaveInstead();
      draw();
      say(told(letter));
    });
  }
  for (const box of Object.values(instead)) box.addEventListener("change", () => insteadChanged(box));
  for (const each of document.querySelectorAll("[data-view]")) each.addEventListener("click", () => show(each.dataset.view));
  form.addEventListener("filled", draw);
  document.querySelector(".views").hidden = state.hidden = false;
  dragByHandles(cards, { place, groups, say });
  draw();

  return {
    obey,
    missing() {
      if (instead.all_tied.checked) return "";
      if (instead.cannot_rank.checked) return form.elements.cannot_rank_reason.value.trim() ? "" : "reason";
      return unranked().length ? "ranks" : "";
    },
    showMissing(what) {
      const field = what === "reason" ? form.elements.cannot_rank_reason : card[unranked()[0]];
      if (what === "reason") field.closest("details").open = true;
      field.focus();
      field.scrollIntoView({ block: "center" });
      state.classList.add("is-missing");
      say(what === "reason" ? "Say why they cannot be ranked." : `Not submitted. ${summary()}`);
      state.textContent = what === "reason" ? "Say why they cannot be ranked." : `Not submitted: ${summary()}`;
    },
  };
}
