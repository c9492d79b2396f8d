// Runs in the doctor page: hands a press on, and keeps the focus where it was when the content is replaced.

const api = acquireVsCodeApi();
const said = document.getElementById("said");
const body = document.getElementById("body");
let shown = "";
let working = false;
let mayRun = false;

/** What tells one of the content's buttons and summaries from the others, also after the page was made anew. */
function nameOf(element) {
  const { finding, remedy } = element.dataset;
  return JSON.stringify([element.tagName, element.closest("section")?.getAttribute("aria-labelledby"), finding, remedy]);
}

/** Buttons stay in the tab order while they cannot be used, so that the focus is never lost. */
function mark() {
  for (const button of document.querySelectorAll("button")) {
    const runs = "remedy" in button.dataset || "runs" in button.dataset;
    button.setAttribute("aria-disabled", String(working || (runs && !mayRun)));
  }
}

function show(page) {
  mayRun = page.mayRun;
  if (page.body !== shown) {
    shown = page.body;
    replace(page.body);
  }
  mark();
}

function replace(html) {
  const focused = body.contains(document.activeElement) ? nameOf(document.activeElement) : undefined;
  const opened = [...body.querySelectorAll("details")].map((details) => details.open);
  body.innerHTML = html;
  for (const [at, details] of body.querySelectorAll("details").entries()) {
    details.open = opened[at] ?? details.open;
  }
  if (focused !== undefined) {
    const again = [...body.querySelectorAll("button, summary")].find((element) => nameOf(element) === focused);
    (again ?? document.querySelector("button")).focus();
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === null || button.getAttribute("aria-disabled") === "true") {
    return;
  }
  const { kind, finding, remedy } = button.dataset;
  working = true;
  mark();
  said.textContent = `Working: ${button.textContent}`;
  api.postMessage(kind === undefined ? { kind: "apply", finding, remedy } : { kind });
});

window.addEventListener("message", ({ data }) => {
  if (data.kind === "page") {
    show(data);
  } else if (data.kind === "done") {
    working = false;
    mark();
    said.textContent = data.said;
  }
});

mark();
api.postMessage({ kind: "ready" });
