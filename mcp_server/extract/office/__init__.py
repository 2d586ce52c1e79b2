"""Office documents, OpenDocument and EPUB: packages of XML in a ZIP file, read with bounds."""
