"""Pure: text and facts in, values out; nothing here touches the machine."""
