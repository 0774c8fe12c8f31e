"""The meetings of AMI, by the partition full-corpus-ASR."""


def _meetings(series: str, parts: str = "abcd") -> list[str]:
    """Meetings of some series, which have a letter for each part."""
    return [f"{name}{part}" for name in series.split() for part in parts]


SETS = {
    "train": sorted(
        _meetings("ES2002 ES2003 ES2005 ES2006 ES2007 ES2008 ES2009 ES2010 ES2012 ES2013 ES2014 ES2015 ES2016")
        + _meetings("IS1000 IS1001 IS1003 IS1004 IS1006 IS1007")
        + [*_meetings("IS1002", "bcd"), *_meetings("IS1005", "abc")]
        + _meetings("TS3005 TS3006 TS3007 TS3008 TS3009 TS3010 TS3011 TS3012")
        + "EN2001a EN2001b EN2001d EN2001e EN2003a EN2004a EN2005a EN2006a EN2006b EN2009b EN2009c EN2009d".split()
        + "IB4005 IN1001 IN1002 IN1005 IN1007 IN1008 IN1009 IN1012 IN1013 IN1014 IN1016".split()
    ),
    "dev": [*_meetings("ES2011"), *"IB4001 IB4002 IB4003 IB4004 IB4010 IB4011".split(), *_meetings("IS1008 TS3004")],
    "eval": _meetings("EN2002 ES2004 IS1009 TS3003"),
}
HEADSETS = dict.fromkeys(("EN2001a", "EN2001d", "EN2001e"), 5)
"""Headsets of the meetings with more than four speakers."""
