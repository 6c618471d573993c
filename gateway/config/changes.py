"""What a reload may change, and what became different."""

from gateway.config.settings.root import Settings

_FIXED = ("listen", "workers", "redis", "state_dir")


def needs_restart(old: Settings, new: Settings) -> list[str]:
    """Return one line for each setting that differs and cannot change at run time."""
    names = [name for name in _FIXED if getattr(old, name) != getattr(new, name)]
    if old.admin.listen != new.admin.listen:
        names.append("admin.listen")
    if (old.admin.tls is None) != (new.admin.tls is None):
        names.append("admin.tls")
    opened = (("log", ("to", "syslog")), ("audit", ("to", "sync")))
    names += [
        f"{section}.{name}"
        for section, settings in opened
        for name in settings
        if getattr(getattr(old, section), name) != getattr(getattr(new, section), name)
    ]
    if (old.tls is None) != (new.tls is None):
        names.append("tls")
    if bool(old.proxy_protocol) != bool(new.proxy_protocol):
        names.append("proxy_protocol")
    return [f"{name}: this change needs a restart" for name in names]


def changed_sections(old: Settings, new: Settings) -> list[str]:
    """Return the names of the top-level settings that differ."""
    return [name for name in Settings.model_fields if getattr(old, name) != getattr(new, name)]
