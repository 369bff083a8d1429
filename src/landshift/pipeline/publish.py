"""What people see: previews, figures, the report and the site."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from landshift.pipeline.stages import Context

__all__ = ["publish"]


def publish(context: Context) -> dict[str, Any]:
    """Draw ``figures/``, write ``report.html``, where there are maps ``site/``, and the catalogue ``stac/``."""
    from landshift.pipeline.stages import truth_path
    from landshift.show.preview import preview
    from landshift.show.render import draw_figures
    from landshift.show.report import write_report
    from landshift.show.stac import write_stac

    out, watch = context.out.path, context.watch
    for number, product in enumerate(context.recipe.products, start=1):
        watch.progress(number, len(context.recipe.products), "previews")
        strips = {"": None} | {f"_{name.lower()}": (name.lower(),) for name in product.indices[:1]}
        for ending, bands in strips.items():
            preview(
                context.cube(product), out / "figures" / f"preview_{product.name}{ending}.png", bands=bands
            )
    figures = draw_figures(out)
    write_report(out)
    maps = list(context.maps().values()) if context.recipe.train else []
    if maps:
        from landshift.show.dashboard import write_site

        zonal = context.recipe.zonal
        zones = None if zonal is None else truth_path(context, str(zonal.zones))
        watch.say("publish: drawing the site's tiles")
        write_site(
            out, zones=zones, zone_id=None if zonal is None else zonal.id, progress=context.watch.progress
        )
    write_stac(out)
    return {"figures": len(figures)}
