-- Copyright (c) 2026, the anklume.stt authors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- The model that a form names, for HAProxy: its own patterns end at the first zero byte, and sound is full of them.
core.register_fetches("model", function(txn)
  local body = txn.f:req_body() or ""
  local field = body:find('[ ;]name="?model"?\r\n')
  local _, head = body:find("\r\n\r\n", field or #body, true)
  return head and body:match("^([^\r\n]*)\r\n", head + 1) or ""
end)
