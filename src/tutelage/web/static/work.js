// What the pages of a task can do beyond their forms. Without this script they lose comfort, and nothing else.
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

// form.submit() sends no button: its value goes along in a field, once.
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

// Beside the task there is room for the guidelines on a wide screen; whoever closes them finds them closed.
const guideline = document.getElementById("guideline");
const GUIDELINE = "tutelage/guideline";
guideline.open = matchMedia("(min-width: 60rem)").matches && remembered(GUIDELINE) !== "closed";
guideline.querySelector("summary").addEventListener("click", () => {
  remember(GUIDELINE, guideline.open ? "closed" : "open");
});
