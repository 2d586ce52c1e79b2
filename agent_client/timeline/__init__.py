"""What happened in a run, as the steps that a page shows: the viewer's and the chat page's."""
