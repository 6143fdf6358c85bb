// Drag a card by its handle, with a mouse, a pen or a finger. A drag starts only on the handle: a finger that scrolls
// over the cards moves the page, never their order.

const THRESHOLD = 5; // px before a press becomes a drag
const EDGE = 70; // px from the top or bottom of the window where it scrolls
const BORDER = 14; // px at the edge of a group that means "between", not "on"

export function dragByHandles(cards, ranking) {
  let drag = null;

  cards.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".handle");
    if (!handle || event.button !== 0 || drag) return;
    event.preventDefault();
    handle.setPointerCapture(event.pointerId);
    const card = handle.closest(".ranked");
    drag = { card, handle, pointer: event.pointerId, from: event.clientY, x: event.clientX, y: event.clientY, ghost: null };
  });

  cards.addEventListener("pointermove", (event) => {
    if (drag?.pointer !== event.pointerId) return;
    Object.assign(drag, { x: event.clientX, y: event.clientY });
    if (!drag.ghost && Math.abs(event.clientY - drag.from) > THRESHOLD) begin();
    if (drag.ghost) follow();
  });

  cards.addEventListener("pointerup", (event) => {
    if (drag?.pointer === event.pointerId) end(true);
  });
  cards.addEventListener("pointercancel", (event) => {
    if (drag?.pointer === event.pointerId) end(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drag) end(false);
  });

  // All cards shrink to one line, so that every position is within reach; the handle stays under the pointer.
  function begin() {
    const ghost = document.createElement("div");
    ghost.className = "ghost";
    ghost.textContent = drag.card.querySelector("h2").textContent;
    document.body.append(ghost);
    drag.ghost = ghost;
    cards.classList.add("is-dragging");
    drag.card.classList.add("is-dragged");
    scrollBy(0, drag.handle.getBoundingClientRect().top - drag.y + 12);
    drag.frame = requestAnimationFrame(scrollAtEdges);
  }

  function follow() {
    drag.ghost.style.transform = `translate(${drag.x + 14}px, ${drag.y - 20}px)`;
    const { target, mark, kind } = aim(drag.y);
    unmark();
    drag.target = target;
    mark?.classList.add(kind);
  }

  function unmark() {
    for (const each of cards.querySelectorAll(".drop-on, .drop-before, .drop-after")) {
      each.classList.remove("drop-on", "drop-before", "drop-after");
    }
  }

  // Maps a height to a position. Groups are in page order; the tray is last.
  function aim(y) {
    const buckets = [...cards.querySelectorAll(".bucket")];
    const tray = cards.querySelector(".tray");
    if (!buckets.length) return { target: { before: 0 }, mark: tray, kind: "drop-before" };
    for (const [index, each] of buckets.entries()) {
      const { top, bottom } = each.getBoundingClientRect();
      if (y < top + BORDER) return { target: { before: index }, mark: each, kind: "drop-before" };
      if (y <= bottom - BORDER) return { target: { on: index }, mark: each, kind: "drop-on" };
    }
    const isInTray = tray && y > tray.getBoundingClientRect().top + BORDER;
    if (isInTray) return { target: { out: true }, mark: tray, kind: "drop-on" };
    return { target: { before: buckets.length }, mark: buckets.at(-1), kind: "drop-after" };
  }

  function scrollAtEdges() {
    if (!drag?.ghost) return;
    const below = innerHeight - drag.y;
    const by = drag.y < EDGE ? drag.y - EDGE : below < EDGE ? EDGE - below : 0;
    if (by) {
      scrollBy(0, by / 5);
      follow();
    }
    drag.frame = requestAnimationFrame(scrollAtEdges);
  }

  function end(isDropped) {
    const { card, ghost, target, frame } = drag;
    drag = null;
    if (!ghost) return;
    cancelAnimationFrame(frame);
    ghost.remove();
    unmark();
    cards.classList.remove("is-dragging");
    card.classList.remove("is-dragged");
    if (isDropped && target) ranking.place(card.dataset.letter, target);
    else ranking.say("Not moved.");
    card.scrollIntoView({ block: "nearest" });
    card.focus({ preventScroll: true });
  }
}
