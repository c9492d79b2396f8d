;;; A person in Emacs with Eglot: opens a project, saves it, waits for a diagnostic, accepts the default of the quick
;;; fixes, and waits until it is gone.  -*- lexical-binding: t -*-

;; $INIT is the person's own setup, $MANIFEST the file to open.  What was seen goes to $SEEN as JSON; an error goes to
;; stderr, and then there is no such file.

(defvar patience 30 "Seconds; nothing waits that long when all is well.")

(defun wait-for (what seen)
  (with-timeout (patience (error "did not come: %s" what))
    (while (not (funcall seen))
      (accept-process-output nil 0.05))))

(defun diagnostics ()
  (flymake-start) ; An idle person's timer would do it.
  (flymake-diagnostics))

(package-initialize)
(load (getenv "INIT"))
(find-file (getenv "MANIFEST"))
(call-interactively #'eglot)
(wait-for "the server" #'eglot-current-server)
(set-buffer-modified-p t)
(save-buffer)
(wait-for "a diagnostic" #'diagnostics)

(let* ((first (car (diagnostics)))
       (under (buffer-substring-no-properties (flymake-diagnostic-beg first) (flymake-diagnostic-end first)))
       (seen (list :under under :text (flymake-diagnostic-text first)))
       (last-nonmenu-event 'key)) ; Not the mouse: Eglot asks in the minibuffer.
  (goto-char (flymake-diagnostic-beg first))
  (cl-letf (((symbol-function 'completing-read)
             (lambda (_prompt offered _predicate _must _initial _history default &rest _)
               (setq seen (plist-put seen :titles (vconcat (mapcar #'car offered))))
               default)))
    (call-interactively #'eglot-code-actions))
  (wait-for "the end of the diagnostic" (lambda () (not (diagnostics))))
  (with-temp-file (getenv "SEEN")
    (insert (json-serialize seen))))
(eglot-shutdown (eglot-current-server))
