-- Copyright (c) 2026, the anklume.stt authors
-- GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- Whoever waits for a server that has been down for a minute waits no longer: it may have taken the request, and say nothing any more.
local PATIENCE = 60 -- seconds: one that only stood still for a moment finishes its recordings

core.register_task(function()
  while true do
    core.sleep(2)
    for _, backend in pairs(core.backends) do
      for _, server in pairs(backend.servers) do
        local now = server:get_stats()
        if now.status:find("^DOWN") and now.scur > 0 and now.lastchg >= PATIENCE then
          server:shut_sess()
        end
      end
    end
  end
end)
