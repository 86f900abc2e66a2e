"use strict";

// Copy the customer's link. Without a clipboard (no https), the text is left selected for copying by hand.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-pp-copy]");
  if (!button) {
    return;
  }
  const field = document.getElementById(button.dataset.ppCopy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    return;
  }
  button.textContent = button.dataset.ppCopied;
});

// Where filters stand in a row above the list, those with inputs are closed until they are needed.
document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("#changelist-search > .pp-filter").forEach((filter) => {
    filter.open = false;
  });
});

// Allow submitting again on a page restored from the back/forward cache.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("[data-pp-sent]").forEach((form) => delete form.dataset.ppSent);
});

// Submit the form of a staff action only once, even if the button is pressed twice.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.ppSent) {
    event.preventDefault();
  }
  if (event.target.matches("[data-pp-once]")) {
    event.target.dataset.ppSent = "1";
  }
});

// Print a poster.
document.addEventListener("click", (event) => {
  if (event.target.closest("[data-pp-print]")) {
    window.print();
  }
});
