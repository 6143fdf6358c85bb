// Conveniences of the task pages beyond their forms. Without this script the pages still work.
import { keep } from "./keeping.js";
import { obeyKeys } from "./keys.js";
import { remember, remembered } from "./memory.js";
import { rank } from "./ranking.js";

const form = document.getElementById("work");
const ranking = form.dataset.about === "ranking" ? rank(form) : null;
const keeper = keep(form);
obeyKeys(form, ranking);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.submitter;
  const missing = button?.value === "submit" && ranking ? ranking.missing() : "";
  if (missing) {
    ranking.showMissing(missing);
    return;
  }
  if (await keeper.leave()) go(button);
});

// form.submit() does not send the button: its value is sent in a field, once.
function go(button) {
  const chosen = document.createElement("input");
  Object.assign(chosen, { type: "hidden", name: "go", value: button?.value ?? "next" });
  form.append(chosen);
  form.submit();
  chosen.remove();
}

const unfold = document.querySelector(".unfold");
const prompt = document.getElementById("prompt");
if (unfold) {
  unfold.hidden = false;
  unfold.addEventListener("click", () => {
    const isWhole = prompt.classList.toggle("whole");
    unfold.setAttribute("aria-expanded", String(isWhole));
    unfold.textContent = isWhole ? "Show less" : "Show all";
  });
}

// A wide screen has room for the guidelines next to the task; if the labeler closes them, they stay closed.
const guideline = document.getElementById("guideline");
const GUIDELINE = "tutelage/guideline";
guideline.open = matchMedia("(min-width: 60rem)").matches && remembered(GUIDELINE) !== "closed";
guideline.querySelector("summary").addEventListener("click", () => {
  remember(GUIDELINE, guideline.open ? "closed" : "open");
});
