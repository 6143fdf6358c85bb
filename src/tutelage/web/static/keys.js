// Single-key shortcuts. They are optional: they do not interfere with screen readers or text fields, and a checkbox in
// the list of shortcuts turns them off.
import { remember, remembered } from "./memory.js";

const SWITCH = "tutelage/single-keys";

export function obeyKeys(form, ranking) {
  const dialog = document.getElementById("keys");
  const box = document.getElementById("are-keys-on");
  const opener = document.getElementById("show-keys");
  box.checked = remembered(SWITCH) !== "off";
  const showKeys = () => {
    for (const key of document.querySelectorAll("kbd.key")) key.hidden = !box.checked;
  };
  box.addEventListener("change", () => {
    remember(SWITCH, box.checked ? "on" : "off");
    showKeys();
  });
  opener.hidden = false;
  opener.addEventListener("click", () => dialog.showModal());
  showKeys();

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || document.querySelector("dialog[open]")) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit(form.querySelector(".going .main"));
      return;
    }
    if (isWriting(event.target)) {
      if (event.key === "Escape") leaveText(event.target);
      return;
    }
    if (!box.checked || event.ctrlKey || event.metaKey || event.altKey) return;
    const isDone = event.key === "?" ? (dialog.showModal(), true) : ranking?.obey(event) || obey(form, event.key);
    if (isDone) event.preventDefault();
  });
}

function isWriting(target) {
  return target.matches("textarea, select, input:not([type=radio], [type=checkbox], [type=hidden]), [contenteditable]");
}

// Leave the text field, but keep the position: Tab continues from here.
function leaveText(field) {
  if (field.tagName === "SELECT") return;
  field.blur();
}

function obey(form, key) {
  const inputs = [...form.querySelectorAll("[data-key]")].filter((each) => each.dataset.key === key.toLowerCase());
  if (!inputs.length) return false;
  const input = inputs.length > 1 ? ofTheScaleToAnswer(form, inputs) : inputs[0];
  if (!input) return false;
  input.focus();
  if (input.tagName === "INPUT") input.click();
  return true;
}

function ofTheScaleToAnswer(form, inputs) {
  const focused = document.activeElement?.closest("fieldset.scale");
  const open = [...form.querySelectorAll("fieldset.scale")].find((each) => !each.querySelector(":checked"));
  return inputs.find((each) => each.closest("fieldset") === (focused ?? open));
}
