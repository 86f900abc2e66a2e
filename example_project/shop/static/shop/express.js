// Buys through the REST API, and waits for the outcome. It shows what it is told, and decides nothing about money.

const page = document.getElementById("express");
const main = page.appendChild(document.createElement("div"));
const token = page.querySelector("[name=csrfmiddlewaretoken]").value;

// What is being paid outlives the way to the gateway and back, where the browser keeps anything at all:
// {order, url, title, total, key, reference, checkout_url, status_url}, the newest last.
const memory = {
  purchases: [],
  read() {
    try {
      this.purchases = JSON.parse(localStorage.getItem("purchases")) ?? [];
    } catch {
      // What is kept in the page has to do.
    }
    return this.purchases;
  },
  keep(purchase) {
    this.purchases = [...this.others(purchase), purchase];
    this.write();
  },
  forget(purchase) {
    this.purchases = this.others(purchase);
    this.write();
  },
  others(purchase) {
    return this.read().filter((other) => other.order !== purchase.order);
  },
  write() {
    try {
      localStorage.setItem("purchases", JSON.stringify(this.purchases));
    } catch {
      // Likewise.
    }
  },
};

const seconds = (number) => new Promise((done) => setTimeout(done, 1000 * number));
const francs = (amount) => `${new Intl.NumberFormat("fr").format(amount)}\u00a0F\u00a0CFA`;
const template = (name) => page.querySelector(`template[data-name=${name}]`).content;
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

function show(name, purchase) {
  main.replaceChildren(template(name).cloneNode(true));
  if (purchase) {
    main.querySelector("[data-title]").textContent = `${purchase.title} · ${francs(purchase.total)}`;
    main.querySelector("[data-order]").href = purchase.url;
    main.querySelector("[data-again]").addEventListener("click", () => (memory.forget(purchase), buy()));
    main.querySelector("[data-resume]")?.addEventListener("click", () => resume(purchase));
  }
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
  work(form.elements.pay, true);
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
  const kept = memory.read().find((purchase) => purchase.order === placed.order);
  const problem = await open({ ...placed, key: kept?.key ?? newKey() });
  if (problem) complain(form, problem.detail);
}

// Send the payer to the gateway; return the problem where there is one.
async function open(purchase) {
  memory.keep(purchase);
  const [isOpen, answer] = await post(
    page.dataset.payments,
    { order: purchase.order, return_to: `${location.pathname}?payment={reference}` },
    { "Idempotency-Key": purchase.key },
  );
  if (!isOpen) return answer;
  const { reference, checkout_url, status_url } = answer;
  memory.keep({ ...purchase, reference, checkout_url, status_url });
  location.assign(checkout_url);
}

// Once more, if the shop still sells it: under a new key, as it is asked anew. The order says why not.
async function resume(purchase) {
  const problem = await open({ ...purchase, key: newKey() }).catch(() => true);
  if (problem) location.assign(purchase.url);
}

// Have the button say that it is working, and then what it said before.
function work(button, isBusy) {
  if (isBusy) {
    button.usual = button.innerHTML;
    button.textContent = button.dataset.wait;
  } else if (button.usual) {
    button.innerHTML = button.usual;
    button.usual = "";
  }
  button.disabled = isBusy;
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
  work(form.elements.pay, false);
  const first = form.querySelector("[aria-invalid]");
  if (words) first ? first.focus() : notice.scrollIntoView({ block: "center" });
}

// Waiting -------------------------------------------------------------------------------------------------------------

// Ask no sooner than Retry-After says, and not too soon where nothing says it.
async function wait(purchase) {
  const shown = show("waiting", purchase);
  while (shown.isConnected) {
    let pause = 5;
    try {
      const response = await fetch(purchase.status_url);
      if (response.status === 404) return memory.forget(purchase), buy();
      const payment = response.ok ? await response.json() : {};
      if (payment.is_final) return tell(payment.status, purchase);
      pause = Number(response.headers.get("Retry-After")) || pause;
    } catch {
      // Away for a moment.
    }
    await seconds(pause);
  }
}

function tell(status, purchase) {
  show(["succeeded", "failed"].includes(status) ? status : "over", purchase);
  if (status !== "failed") memory.forget(purchase);
}

// Also for those who come back by the browser's own button, to the page as they had left it.
addEventListener("pageshow", () => {
  const reference = new URLSearchParams(location.search).get("payment");
  const opened = memory.read().filter((purchase) => purchase.status_url);
  const purchase = opened.find((one) => one.reference === reference) ?? (reference ? null : opened.at(-1));
  if (purchase) wait(purchase);
  else buy();
});
