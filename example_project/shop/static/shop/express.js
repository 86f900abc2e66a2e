// Buys through the REST API, and waits for the outcome. It shows what it is told, and decides nothing about money.

const page = document.getElementById("express");
const main = page.appendChild(document.createElement("div"));
const token = page.querySelector("[name=csrfmiddlewaretoken]").value;

// What is being paid outlives the way to the gateway and back: {order, url, key, checkout_url, status_url}.
const memory = {
  read: () => JSON.parse(localStorage.getItem("purchase")),
  keep: (purchase) => localStorage.setItem("purchase", JSON.stringify(purchase)),
  forget: () => localStorage.removeItem("purchase"),
};

const seconds = (number) => new Promise((done) => setTimeout(done, 1000 * number));
const francs = (amount) => `${new Intl.NumberFormat("fr").format(amount)}\u00a0F\u00a0CFA`;
const template = (name) => page.querySelector(`template[data-name=${name}]`).content;

function show(name, purchase = {}) {
  main.replaceChildren(template(name).cloneNode(true));
  main.querySelector("[data-checkout]")?.setAttribute("href", purchase.checkout_url);
  main.querySelector("[data-order]")?.setAttribute("href", purchase.url);
  main.querySelector("[data-again]")?.addEventListener("click", buy);
  return main.firstElementChild;
}

async function post(url, content, headers = {}) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token, ...headers },
    body: JSON.stringify(content),
  });
  return [response.ok, await response.json()];
}

// Buying --------------------------------------------------------------------------------------------------------------

function buy() {
  show("buying");
  const form = main.querySelector("form");
  form?.addEventListener("change", () => reckon(form));
  form?.addEventListener("submit", (event) => (event.preventDefault(), submit(form)));
  if (form) reckon(form);
}

// Offer as many as there are, and say what that comes to; what is due is the shop's to say.
function reckon(form) {
  const { price, stock } = form.querySelector("[name=product]:checked").dataset;
  const { quantity } = form.elements;
  const most = Math.min(stock, quantity.dataset.max);
  const wanted = Math.min(quantity.value || 1, most);
  quantity.replaceChildren(...Array.from({ length: most }, (_, index) => new Option(index + 1)));
  quantity.value = wanted;
  form.querySelector("[data-total]").textContent = francs(wanted * price);
}

async function submit(form) {
  complain(form, "");
  form.elements.pay.disabled = true;
  try {
    await order(form);
  } catch {
    complain(form, template("unreachable").textContent);
  }
}

async function order(form) {
  const { product, ...details } = Object.fromEntries(new FormData(form));
  const [isPlaced, placed] = await post(product, details);
  if (!isPlaced) return complain(form, placed.detail ?? template("invalid").textContent, placed);
  // One order has one key, however often it takes to open its payment.
  const kept = memory.read();
  const purchase = kept?.order === placed.order ? kept : { ...placed, key: crypto.randomUUID() };
  memory.keep(purchase);
  const [isOpen, payment] = await post(
    page.dataset.payments,
    { order: purchase.order, channel: details.channel, return_to: location.pathname },
    { "Idempotency-Key": purchase.key },
  );
  if (!isOpen) return complain(form, payment.detail);
  memory.keep({ ...purchase, checkout_url: payment.checkout_url, status_url: payment.status_url });
  location.assign(payment.checkout_url);
}

function complain(form, words, errors = {}) {
  const notice = form.querySelector("[role=alert]");
  notice.textContent = words;
  notice.hidden = !words;
  for (const mark of form.querySelectorAll(".errorlist")) mark.remove();
  for (const input of form.querySelectorAll(".field > [name]")) {
    input.removeAttribute("aria-invalid");
    if (!errors[input.name]) continue;
    const mark = Object.assign(document.createElement("p"), { className: "errorlist", textContent: errors[input.name] });
    input.setAttribute("aria-invalid", "true");
    input.before(mark);
  }
  form.elements.pay.disabled = false;
  const first = form.querySelector("[aria-invalid]");
  if (words) first ? first.focus() : notice.scrollIntoView({ block: "center" });
}

// Waiting -------------------------------------------------------------------------------------------------------------

// Ask no sooner than Retry-After says. The browser itself sends the ETag, and reads a 304 as what it has.
async function wait(purchase) {
  const shown = show("waiting", purchase);
  while (shown.isConnected) {
    let pause = 5;
    try {
      const response = await fetch(purchase.status_url, { cache: "no-cache" });
      const payment = await response.json();
      if (payment.is_final) return tell(payment.status, purchase);
      pause = response.headers.get("Retry-After");
    } catch {
      // Away for a moment.
    }
    await seconds(pause);
  }
}

function tell(status, purchase) {
  show(["succeeded", "failed"].includes(status) ? status : "over", purchase);
  if (status !== "failed") memory.forget();
}

// Also for those who come back by the browser's own button, to the page as they had left it.
addEventListener("pageshow", () => {
  const purchase = memory.read();
  if (purchase?.status_url) wait(purchase);
  else buy();
});
