"""Pictures and tables from a finished or running run."""

from natdeploy.report.report import write_report
from natdeploy.report.tables import Column, Table, front_table, result_table

__all__ = ["Column", "Table", "front_table", "result_table", "write_report"]
