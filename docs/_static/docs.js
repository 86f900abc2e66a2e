// Let the keyboard reach what scrolls: code, diagrams and tables that are wider than the page.
const reach = () => {
  for (const element of document.querySelectorAll("article pre, .diagram, .table-wrapper")) {
    if (element.scrollWidth > element.clientWidth) { element.tabIndex = 0; } else { element.removeAttribute("tabindex"); }
  }
};
addEventListener("load", reach);
addEventListener("resize", reach);
