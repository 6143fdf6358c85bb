"use strict";
// Progressive enhancement: without this script every completion is on the page.
(() => {
  const filter = document.getElementById("filter");
  if (filter) {
    const text = document.getElementById("filter-text");
    const useCase = document.getElementById("filter-use-case");
    const count = document.getElementById("filter-count");
    const prompts = [...document.querySelectorAll("article.prompt")].map((article) => ({
      article,
      words: article.textContent.toLocaleLowerCase(),
    }));
    const apply = () => {
      const wanted = text.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const { article, words } of prompts) {
        const matches =
          (!useCase.value || article.dataset.useCase === useCase.value) && wanted.every((word) => words.includes(word));
        article.hidden = !matches;
        shown += matches ? 1 : 0;
      }
      count.textContent = `${shown} of ${prompts.length} prompts`;
    };
    filter.addEventListener("input", apply);
    filter.addEventListener("submit", (event) => event.preventDefault());
    filter.hidden = false;
    apply();
  }
  // Collapsed sections are expanded for printing.
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
})();
