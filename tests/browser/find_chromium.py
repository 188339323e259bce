"""Where Chromium is; with `--install`, get it where it is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """Path of a Chromium to drive: `$CHROMIUM`, or the first known name on the PATH."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    return next((path for path in map(shutil.which, NAMES) if path), None)


def downloaded_by_playwright() -> str | None:
    """Path of the Chromium that playwright downloaded, if it did."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if os.path.exists(path) else None


def install() -> None:
    """Install Chromium from the system's packages as root, else let playwright download one."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(
            [*command, "fonts-noto-core"], check=True, env=environment, stdout=subprocess.DEVNULL
        )
    else:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def main() -> None:
    """Print the path, installing first if asked to."""
    path = find_chromium() or downloaded_by_playwright()
    if path is None and "--install" in sys.argv:
        install()
        path = find_chromium() or downloaded_by_playwright()
    if path is None:
        sys.exit("There is no Chromium; install it, or name one in $CHROMIUM.")
    print(f"Chromium: {path}")


if __name__ == "__main__":
    main()
