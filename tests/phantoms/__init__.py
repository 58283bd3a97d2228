"""Heads under known fields: `ellipsoid` of any shape, `flat` with even tissues, `realistic` with tissues that vary,
`scanned` as finely as is asked for.
"""
