"""The report of an evaluation: `report.html`, `report.md` and `report.json`."""
