"""How long the report's page takes: to make, to open in Chromium, to filter, sort and print.

    python benchmarks/report.py [--batches 10000] [--runs 5] [--print]

The report is the sample of the tests. Times in the browser are the page's own, from an event to the end of
the layout that it led to; shown are medians. Printing takes long, and is asked for.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_NAMES = ("chromium", "chromium-browser", "google-chrome")

_TIMED = """(does) => {
  const text = document.getElementById("text");
  const type = (words) => { text.value = words; text.dispatchEvent(new Event("input")); };
  const begun = performance.now();
  if (does === "sort") document.querySelector('[data-by="made"]').click();
  else type(does);
  document.body.offsetHeight;
  return performance.now() - begun;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--print", action="store_true", dest="on_paper")
    options = parser.parse_args()
    sys.path.insert(0, str(_ROOT / "tests" / "render"))
    from playwright.sync_api import sync_playwright
    from render_report_samples import report

    from reconciler.render.report import report_html

    sample = report(options.batches)
    begun = time.perf_counter()
    page_text = report_html(sample)
    made = time.perf_counter() - begun
    found = next(path for name in _NAMES if (path := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "report.html"
        file.write_text(page_text)
        browser = playwright.chromium.launch(executable_path=found)
        print(f"{options.batches:,} batches, {platform.python_version()}, Chromium {browser.version}")
        print(f"| size | {len(page_text.encode()) / 1e6:.1f} MB |")
        print(f"| make | {made * 1000:.0f} ms |")
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opening = []
        for _ in range(options.runs):
            page.goto(file.as_uri())
            opening.append(page.evaluate("performance.timing.loadEventEnd - performance.timing.fetchStart"))
        print(f"| open | {statistics.median(opening):.0f} ms |")
        for words in ("c", "claims 99", "", "sort"):
            times = [page.evaluate(_TIMED, words) for _ in range(options.runs)]
            name = "sort by time" if words == "sort" else f"filter by “{words}”"
            print(f"| {name} | {statistics.median(times):.0f} ms |")
        print(f"| rows in the document | {page.locator('#all tbody tr').count()} |")
        if options.on_paper:
            begun = time.perf_counter()
            page.pdf()
            print(f"| print all | {time.perf_counter() - begun:.0f} s |")
        browser.close()


if __name__ == "__main__":
    main()
