/* The room wall: arrow keys move over the tiles, Enter opens the drawer, Esc returns; chips filter; changes arrive in
   batches and touch only tiles that differ, and a screen reader hears at most one sentence in ten seconds. */
const REFRESH_MS = 1500;
const SAY_MS = 10000;
const ANSWER_STAYS_MS = 8000; // what an act in the drawer was answered, before a change may refresh it away
const SVG = "http://www.w3.org/2000/svg";
const SELECTOR = "[role=gridcell][data-room]";
let answerStaysUntil = 0;

export function startWall(htmx) {
  const wall = document.querySelector("[data-wall]");
  if (!wall) return;
  wall.addEventListener("keydown", (event) => move(wall, event));
  wall.addEventListener("click", (event) => {
    const tile = event.target.closest(SELECTOR);
    if (!tile) return;
    event.preventDefault();
    open(htmx, wall, tile);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) shut(wall);
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-shut]")) return;
    event.preventDefault();
    shut(wall);
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.id !== "drawer") return;
    const path = event.detail.pathInfo.requestPath;
    const refreshed = path.startsWith("/drawer/");
    if (late(wall, path) || (refreshed && Date.now() < answerStaysUntil)) event.detail.shouldSwap = false;
    else if (!refreshed) answerStaysUntil = Date.now() + ANSWER_STAYS_MS;
  });
  startFilters(wall);
  startRefresh(htmx, wall);
}

/* Whether an answer was still on its way when the drawer was shut or another one opened. */
function late(wall, path) {
  const wanted = wall.querySelector("[aria-selected=true]")?.getAttribute("href");
  return !wanted || (path.startsWith("/drawer/") && path !== wanted);
}

function move(wall, event) {
  const tile = event.target.closest(SELECTOR);
  if (!tile) return;
  const row = tile.parentElement;
  const cells = [...row.querySelectorAll(SELECTOR)];
  const rows = [...wall.querySelectorAll("[role=row]")].filter((one) => one.querySelector(SELECTOR));
  const column = cells.indexOf(tile);
  const line = rows.indexOf(row);
  const target = {
    ArrowRight: () => cells[column + 1],
    ArrowLeft: () => cells[column - 1],
    ArrowDown: () => pick(rows[line + 1], column),
    ArrowUp: () => pick(rows[line - 1], column),
    Home: () => cells[0],
    End: () => cells[cells.length - 1],
  }[event.key]?.();
  if (!target) return;
  event.preventDefault();
  focusTile(wall, target);
}

function pick(row, column) {
  if (!row) return null;
  const cells = row.querySelectorAll(SELECTOR);
  return cells[Math.min(column, cells.length - 1)];
}

function focusTile(wall, tile) {
  for (const one of wall.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  tile.tabIndex = 0;
  tile.focus();
}

function open(htmx, wall, tile) {
  for (const one of wall.querySelectorAll("[aria-selected=true]")) one.removeAttribute("aria-selected");
  tile.setAttribute("aria-selected", "true");
  focusTile(wall, tile);
  document.querySelector(".wallbody").classList.add("with-drawer");
  answerStaysUntil = 0;
  htmx.ajax("GET", tile.getAttribute("href"), { target: "#drawer", swap: "innerHTML" });
  const address = new URL(window.location.href);
  address.searchParams.set("room", tile.dataset.room);
  window.history.replaceState(null, "", address);
}

function shut(wall) {
  const body = document.querySelector(".wallbody.with-drawer");
  if (!body) return;
  document.getElementById("drawer").replaceChildren();
  body.classList.remove("with-drawer");
  const tile = wall.querySelector("[aria-selected=true]");
  if (tile) {
    tile.removeAttribute("aria-selected");
    tile.focus();
  }
  const address = new URL(window.location.href);
  address.searchParams.delete("room");
  window.history.replaceState(null, "", address);
}

function startFilters(wall) {
  const chips = [...document.querySelectorAll("[data-filter]")];
  const apply = (chip) => {
    for (const one of chips) one.setAttribute("aria-pressed", String(one === chip));
    wall.dataset.only = chip.dataset.filter;
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => apply(chip.getAttribute("aria-pressed") === "true" ? chips[0] : chip));
  }
  const asked = new URLSearchParams(window.location.search).get("only");
  const wanted = chips.find((chip) => chip.dataset.filter === asked);
  if (wanted) apply(wanted);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "f" || event.ctrlKey || event.metaKey || event.target.closest?.("input,textarea,select")) return;
    chips[0]?.focus();
  });
}

function startRefresh(htmx, wall) {
  let due = false;
  let busy = false;
  let saidAt = 0;
  const refresh = async () => {
    if (!due || busy || document.hidden) return;
    due = false;
    busy = true;
    try {
      const answer = await fetch(wall.dataset.wall, { headers: { accept: "application/json" } });
      if (!answer.ok) return;
      const changed = paint(wall, await answer.json());
      if (changed.length && Date.now() - saidAt > SAY_MS) {
        saidAt = Date.now();
        document.getElementById("wall-says").textContent = changed.slice(0, 3).join("; ");
      }
    } catch {
      due = true;
    } finally {
      busy = false;
    }
  };
  document.body.addEventListener("live", () => { due = true; });
  document.addEventListener("visibilitychange", () => { due = true; });
  window.setInterval(refresh, REFRESH_MS);
  let drawerAt = 0;
  document.body.addEventListener("live", () => {
    const drawer = document.querySelector("#drawer > [data-drawer]");
    if (!drawer || Date.now() - drawerAt < REFRESH_MS || drawer.contains(document.activeElement)) return;
    if (Date.now() < answerStaysUntil) return;
    drawerAt = Date.now();
    htmx.ajax("GET", drawer.dataset.drawer, { target: "#drawer", swap: "innerHTML" });
  });
}

function paint(wall, news) {
  const said = [];
  const known = new Map([...wall.querySelectorAll(SELECTOR)].map((tile) => [tile.dataset.room, tile]));
  for (const one of news.tiles) {
    const tile = known.get(one.room);
    if (!tile || tile.dataset.version === one.version) continue;
    const was = tile.dataset.state;
    tile.dataset.version = one.version;
    tile.dataset.state = one.state;
    tile.className = `t ${one.state} f`;
    tile.dataset.flags = one.flags.join(" ");
    tile.setAttribute("aria-label", one.label);
    tile.replaceChildren(...glyphs(one), document.createTextNode(one.figure));
    if (was !== one.state) said.push(one.label);
  }
  for (const [kind, figures] of [["count", news.counts], ["age", news.ages], ["nav", news.nav], ["power", news.power]]) {
    for (const [name, count] of Object.entries(figures)) {
      const shown = document.querySelector(`[data-${kind}="${name}"]`);
      if (shown) shown.textContent = String(count);
      if (shown?.parentElement.hasAttribute("data-late")) shown.parentElement.classList.toggle("fail", count > 0);
    }
  }
  paintBar(document.querySelector("#age-bar svg"), news.bar);
  return said;
}

function paintBar(place, pieces) {
  if (!place) return;
  place.replaceChildren(...pieces.map((piece) => {
    const part = document.createElementNS(SVG, "rect");
    for (const [name, value] of Object.entries({ class: piece.tone, x: piece.x, width: piece.width, height: 10 })) {
      part.setAttribute(name, String(value));
    }
    return part;
  }));
}

function glyphs(one) {
  const marks = [];
  if (one.state !== "normal") marks.push(glyph(`g-${one.state}`, "g"));
  if (one.flags.includes("keep")) marks.push(glyph("g-keep", "g flag k"));
  else if (one.flags.includes("case")) marks.push(glyph("g-case", "g flag c"));
  return marks;
}

function glyph(name, classes) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", classes);
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}
