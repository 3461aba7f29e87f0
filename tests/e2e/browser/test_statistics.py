"""Statistics: charts that really show something, tables beside them, and files with the same figures."""

import csv
import io

import pytest
from playwright.sync_api import expect

COLOURS = """(canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const seen = new Map();
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 200) continue;
    const colour = `${data[i]},${data[i + 1]},${data[i + 2]}`;
    seen.set(colour, (seen.get(colour) ?? 0) + 1);
  }
  return Math.max(0, ...seen.values());
}"""


@pytest.mark.parametrize("path", ["/statistics", "/today", "/households/H10802"])
def test_no_chart_is_blank(visit, path):
    window = visit("zhou")
    window.go(path)
    window.charts_drawn()
    canvases = window.page.locator("[data-chart] canvas").all()
    assert canvases
    for canvas in canvases:
        window.until(lambda canvas=canvas: canvas.evaluate(COLOURS) > 500, "a chart shows bars or a line")


def test_files_hold_what_the_tables_show(visit, demo):
    window = visit("zhou")
    window.go("/statistics")
    links = [link.get_attribute("href") for link in window.page.get_by_role("link", name="CSV").all()]
    assert len(links) == 3
    for link in links:
        answer = window.context.request.get(f"{demo.url}{link}")
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.reader(io.StringIO(answer.text().lstrip("\ufeff"))))
        assert len(rows) >= 2, link
        assert all(len(row) == len(rows[0]) for row in rows), link
        if "by=household" in link:
            assert len(rows) == 201
    window.page.locator("details.figures summary").last.click()
    expect(window.page.locator("details.figures").last.locator("tbody tr")).to_have_count(200)


def test_another_span_of_days_is_one_click_away(visit, demo):
    window = visit("zhou")
    window.go("/statistics")
    window.page.get_by_role("link", name="7 days").click()
    expect(window.page).to_have_url(f"{demo.url}/statistics?days=7")
    window.charts_drawn()
