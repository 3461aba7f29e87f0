"""What somebody who cannot see a page, or has no mouse, needs of it: one title, headings in order, names, targets.

`FAULTS` runs in the page and gives a sentence for each fault. It looks at what is shown: hidden parts are nobody's way.
"""

TARGETS_PX = {"desk": 32, "phone": 44}  # how high a target is at least; links within a sentence are exempt
NARROWEST_PX = 24  # WCAG 2.2, 2.5.8
FAULTS = r"""([target, narrowest]) => {
  const found = [];
  const shown = (one) => one.getClientRects().length > 0 && getComputedStyle(one).visibility !== "hidden";
  const said = (one) => one.textContent.trim().replace(/\s+/g, " ").slice(0, 40);
  const titles = document.querySelectorAll("h1").length;
  if (titles !== 1) found.push(`${titles} titles`);
  let level = 0;
  for (const one of [...document.querySelectorAll("h1, h2, h3, h4")].filter(shown)) {
    if (+one.tagName[1] > level + 1) found.push(`a heading below none of its kind: ${said(one)}`);
    level = +one.tagName[1];
  }
  const named = (one) => one.getAttribute("aria-label")?.trim() || one.title
    || [...(one.labels ?? [])].map(said).join("") || (one.matches("input, select, textarea") ? "" : said(one));
  const control = "a[href], button, summary, select, textarea, input:not([type=hidden])";
  const controls = [...document.querySelectorAll(control)].filter((one) => !one.closest("[aria-hidden=true]"));
  for (const one of controls.filter(shown)) {
    if (!named(one)) found.push(`a control without a name: ${one.outerHTML.slice(0, 80)}`);
    const { width, height } = one.getBoundingClientRect();
    const within = one.matches(".find input") ? one.parentElement.getBoundingClientRect() : { width, height };
    const inline = one.tagName === "A" && getComputedStyle(one).display === "inline";
    const small = within.height < target - 0.5 || within.width < narrowest - 0.5;
    const exempt = inline || one.matches(".skip, [type=checkbox], [type=radio]");
    if (small && !exempt) found.push(`a small target: ${named(one)}`);
  }
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids.filter((id, at) => ids.indexOf(id) !== at))) found.push(`two elements are called ${id}`);
  for (const one of document.querySelectorAll("table:not(:has(th))")) found.push(`a table without heads: ${said(one)}`);
  for (const one of document.querySelectorAll("[role=img]:not([aria-label])")) {
    found.push(`a picture without a name: ${one.id}`);
  }
  return found;
}"""
