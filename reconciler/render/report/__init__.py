"""Pages of HTML: the report of a project, and any other result as a page of the same make.

Each is one file that asks for nothing from outside: style and script stand in it, and its policy lets no
other run, load or send. A string becomes markup in one place only, `html`, which escapes it; in the report's
data every ``<`` is written otherwise, and the script makes text of it, never markup. So there are no
templates, whose author would have to think of that in each line, and no package for them.

`html` has markup and the frame of a page, `parts` the report's sections, `figures` its drawings, `runs` what
ran, `data` what the script sorts and filters, and `plain` the pages without a script.
"""

from __future__ import annotations

from reconciler.render.report.html import SIGN
from reconciler.render.report.page import report_html
from reconciler.render.report.plain import plain_html

__all__ = ["SIGN", "plain_html", "report_html"]
