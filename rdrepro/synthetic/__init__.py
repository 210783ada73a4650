"""The embedded benchmark: drawn categories in MVTec AD's layout, and drawn scans."""
