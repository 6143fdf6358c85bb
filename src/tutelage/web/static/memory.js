// What this browser remembers. If storage is unavailable (private windows, a full disk), everything else still works.

const REFUSALS = new Set(["SecurityError", "QuotaExceededError"]);

function attempt(then) {
  try {
    return then(localStorage);
  } catch (error) {
    if (!REFUSALS.has(error.name)) throw error;
    return null;
  }
}

export const remembered = (name) => attempt((memory) => memory.getItem(name));
export const remember = (name, text) => attempt((memory) => memory.setItem(name, text));
export const forget = (name) => attempt((memory) => memory.removeItem(name));
