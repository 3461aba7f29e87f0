"""An estate on its way in: read from its files and checked, its secrets locked, ready for one unit of the writer.

    files -> estate_file -> EstateDocument -> secrets -> flows.estates.import_estate

Commands use it, and the admin socket of a running server; it knows neither.
"""
