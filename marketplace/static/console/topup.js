// Stripe's Payment Element. Card numbers go from its frame to Stripe and never come here.
const form = document.getElementById("pay-form");
const problem = document.getElementById("pay-error");
const button = document.getElementById("pay-button");

function say(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

if (typeof Stripe === "undefined") {
  say(form.dataset.failed);
  button.disabled = true;
} else {
  const stripe = Stripe(form.dataset.key, { locale: form.dataset.locale });
  const elements = stripe.elements({ clientSecret: form.dataset.secret });
  elements.create("payment").mount("#pay-element");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    say("");
    const back = window.location.origin + window.location.pathname;
    const { error } = await stripe.confirmPayment({ elements, confirmParams: { return_url: back } });
    // Only reached where the payer was not sent away: a mistake in the form, or a refusal.
    if (error) say(error.message || form.dataset.failed);
    button.disabled = false;
  });
}
