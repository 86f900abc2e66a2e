"use strict";

// The payer's link, to the clipboard; where a browser has none (no https), the text is selected to be copied by hand.
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

// A page that comes back from the browser's memory is fresh again.
window.addEventListener("pageshow", () => {
  document.querySelectorAll("[data-pp-sent]").forEach((form) => delete form.dataset.ppSent);
});

// A form of a staff action is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  if (event.target.dataset.ppSent) {
    event.preventDefault();
  }
  if (event.target.matches("[data-pp-once]")) {
    event.target.dataset.ppSent = "1";
  }
});
