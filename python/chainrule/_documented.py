"""Links from the HTML of estimators, which scikit-learn makes, to their pages on the documentation site."""

import functools
from importlib import metadata


@functools.cache
def site() -> str:
    """Return the address of the site, which published packages have in their metadata; empty in a checkout."""
    try:
        addresses = metadata.metadata("chainrule").get_all("Project-URL") or []
    except metadata.PackageNotFoundError:
        return ""
    found = [address.partition(", ")[2] for address in addresses if address.startswith("Documentation, ")]
    return found[0].rstrip("/") if found else ""


class Documented:
    """A base of estimators whose HTML links to the site. Subclasses in other packages have no link."""

    _doc_link_module = "chainrule"

    @property
    def _doc_link_template(self) -> str:
        """The address of a page, or an empty string, for which scikit-learn shows no link."""
        return f"{site()}/generated/chainrule.{{estimator_name}}.html" if site() else ""
