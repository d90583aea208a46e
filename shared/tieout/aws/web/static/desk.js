// "/" goes to the search field, Escape leaves it. Everything else is links, forms and the browser.
document.addEventListener("keydown", (event) => {
  const search = document.getElementById("search");
  const typing = /^(input|textarea|select)$/i.test(event.target.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "Escape" && event.target === search) {
    search.blur();
  }
});
