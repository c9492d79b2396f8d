-- A person in Neovim, 0.7 or newer, who has opened a project: saves it, waits for a diagnostic, accepts a quick fix of
-- it, waits until it is gone; if the fix has changed the buffer, writes it, runs `uv sync` once more, and undoes it.
--
-- `g:fix` is a part of the title of the fix to accept, empty for the preferred one. What was seen goes to the file
-- `g:seen` as JSON; an error goes to stderr, and then there is no such file.

local PATIENCE = 30000 -- Milliseconds; nothing waits that long when all is well.

local seen = { titles = {}, messages = {} }

local function wait_for(what, condition)
  if not vim.wait(PATIENCE, condition, 10) then
    error("did not come: " .. what .. "; seen: " .. vim.inspect(seen))
  end
end

local function lines()
  return vim.api.nvim_buf_get_lines(0, 0, -1, true)
end

local function is_attached()
  for _, client in pairs((vim.lsp.get_clients or vim.lsp.get_active_clients)()) do
    if vim.lsp.buf_is_attached(0, client.id) then
      return true
    end
  end
  return false
end

local function is_wanted(action)
  if vim.g.fix == "" then
    return action.isPreferred == true
  end
  return action.title:find(vim.g.fix, 1, true) ~= nil
end

-- Neovim asks its user through this function, and says itself that it may be replaced.
vim.ui.select = function(items, _, on_choice)
  local wanted
  for _, item in ipairs(items) do
    local action = item.action or item[2] -- Since 0.10, and before.
    table.insert(seen.titles, action.title)
    if is_wanted(action) then
      wanted = item
    end
  end
  on_choice(wanted)
end

local show_message = vim.lsp.handlers["window/showMessage"]
vim.lsp.handlers["window/showMessage"] = function(err, result, ...)
  table.insert(seen.messages, result.message)
  return show_message(err, result, ...)
end

wait_for("the server", is_attached)
vim.cmd("silent write")
wait_for("a diagnostic of the run", function()
  local found = vim.diagnostic.get(0)
  return #found > 0 and found[1].code ~= "link-predicted" -- That one came when the file was opened.
end)
seen.diagnostics = vim.tbl_map(function(found)
  local text = vim.api.nvim_buf_get_text(0, found.lnum, found.col, found.end_lnum, found.end_col, {})
  return { code = found.code, message = found.message, severity = found.severity, under = table.concat(text, "\n") }
end, vim.diagnostic.get(0))

local before = lines()
local first = vim.diagnostic.get(0)[1]
vim.api.nvim_win_set_cursor(0, { first.lnum + 1, first.col })
vim.lsp.buf.code_action()
wait_for("the end of the diagnostic", function()
  return #vim.diagnostic.get(0) == 0
end)

if vim.bo.modified then
  seen.unsaved = { buffer = lines(), disk = vim.fn.readfile(vim.api.nvim_buf_get_name(0)) }
  vim.cmd("silent write")
  local sync = { command = "uvLinkDoctor.sync", arguments = { vim.uri_from_fname(vim.fn.getcwd()) } }
  local _, answer = next(assert(vim.lsp.buf_request_sync(0, "workspace/executeCommand", sync, PATIENCE)))
  assert(answer.result, vim.inspect(answer))
  seen.synced = { outcome = answer.result.outcome, findings = #answer.result.findings }
  vim.cmd("silent normal! u")
  seen.undone = vim.deep_equal(lines(), before)
end
seen.diagnostics_at_the_end = #vim.diagnostic.get(0)

vim.fn.writefile({ vim.fn.json_encode(seen) }, vim.g.seen)
