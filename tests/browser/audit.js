// What a page must keep for people who cannot see it, or see it badly. Returns sentences; none is good.
() => {
  const wrong = [];
  const say = (what, node) => wrong.push(`${what}: ${node.outerHTML.slice(0, 120)}`);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const shown = (node) => node.checkVisibility && node.checkVisibility();
  const text = (node) => (node.getAttribute("aria-label") || node.textContent || "").trim();

  if (!document.documentElement.lang) wrong.push("the page names no language");
  if (!document.title) wrong.push("the page has no title");
  for (const one of ["main", "h1"]) if (all(one).length !== 1) wrong.push(`${all(one).length} times ${one}`);
  all("a, button, summary").filter(shown).forEach((one) => text(one) || say("no name", one));
  all("input:not([type=hidden]), select, textarea").forEach((one) => {
    if (!one.labels.length && !one.getAttribute("aria-label")) say("no label", one);
  });
  all("img").forEach((one) => one.hasAttribute("alt") || say("no alt", one));
  all("th").forEach((one) => one.scope || say("no scope", one));
  all("[id]").forEach((one) => document.querySelectorAll(`#${CSS.escape(one.id)}`).length > 1 && say("id twice", one));
  all("[aria-labelledby]").forEach((one) => {
    one.getAttribute("aria-labelledby").split(/\s+/).forEach((id) => document.getElementById(id) || say("label gone", one));
  });
  all("[tabindex]").forEach((one) => one.tabIndex > 0 && say("tab order forced", one));
  let level = 0;
  all("h1, h2, h3, h4").filter(shown).forEach((one) => {
    const here = Number(one.tagName[1]);
    if (here > level + 1) say(`heading ${level} to ${here}`, one);
    level = here;
  });

  // Contrast as WCAG 2.2 reckons it: 4.5 to 1 for text, 3 to 1 where it is large.
  const parse = (colour) => {
    const found = colour.match(/[\d.]+/g).map(Number);
    return { rgb: found.slice(0, 3), alpha: found.length > 3 ? found[3] : 1 };
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => ((v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.alpha > 0.99) return colour.rgb;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || seen.has(node) || !shown(node) || node.closest(".hidden, [aria-hidden=true]")) continue;
    seen.add(node);
    const style = getComputedStyle(node);
    const [one, other] = [light(parse(style.color).rgb), light(behind(node))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (one + 0.05) / (other + 0.05);
    if (ratio < (large ? 3 : 4.5)) say(`contrast ${ratio.toFixed(2)}`, node);
  }
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  if (wide > 0) wrong.push(`the page is ${wide} px too wide`);
  return wrong;
}
